-- In InnoDB a table is the tree of its primary key: there is nothing to change.
DO 0;
